// htmx would write its indicator's style into the page, which the Content-Security-Policy forbids.
htmx.config.includeIndicatorStyles = false;
htmx.config.timeout = 10_000;
