// Fragments that renew themselves. htmx asks for each; this file says when, what is shown, and how old the page is.
"use strict";

(() => {
  const tags = new Map(); // the ETag of each fragment that is shown, by its id
  let paused = false;
  let updated = new Date();
  let failed = false;

  // htmx asks this before each request of a fragment.
  window.isLive = () => !paused && document.visibilityState === "visible";

  // A swap would lose the text that somebody selects.
  const isInUse = (fragment) => {
    const selection = window.getSelection();
    return selection !== null && !selection.isCollapsed && fragment.contains(selection.anchorNode);
  };

  const say = (id, text) => {
    const element = document.getElementById(id);
    if (element && element.textContent !== text) element.textContent = text;
  };

  const showAge = () => {
    const bar = document.getElementById("live-bar");
    if (!bar) return;
    bar.hidden = !paused && !failed && !document.querySelector("[data-live]");
    bar.classList.toggle("late", failed);
    const since = updated.toLocaleTimeString("en-GB", { timeZone: "UTC" });
    say("live-age", failed ? `Not updated since ${since} UTC` : paused ? `Paused at ${since} UTC` : "Live");
  };

  const note = (works) => {
    failed = !works;
    if (works) updated = new Date();
    showAge();
  };

  // In the words of the sentences: the two largest units, and nothing is rounded away.
  const formatSpan = (seconds) => {
    const units = [["d", 86400, Infinity], ["h", 3600, 24], ["min", 60, 60], ["s", 1, 60]];
    const counts = units.map(([unit, size, most]) => [Math.floor(seconds / size) % most, unit]);
    const first = counts.findIndex(([count]) => count);
    return counts.slice(first, first + 2).filter(([count]) => count).map((each) => each.join(" ")).join(" ");
  };

  const formatAway = (seconds) => {
    const whole = Math.round(Math.abs(seconds));
    if (!whole) return "now";
    return seconds < 0 ? `${formatSpan(whole)} ago` : `in ${formatSpan(whole)}`;
  };

  // A click or a tap shows the time itself; the next one shows how long ago it is.
  const showTimes = () => {
    for (const time of document.querySelectorAll("time.ago")) {
      const seconds = (new Date(time.dateTime) - Date.now()) / 1000;
      const text = "absolute" in time.dataset ? time.title : formatAway(seconds);
      if (time.textContent !== text) time.textContent = text;
    }
  };

  document.addEventListener("click", (event) => {
    const time = event.target.closest?.("time.ago");
    if (time) {
      time.toggleAttribute("data-absolute");
      showTimes();
    }
    const button = event.target.closest?.("#live-pause");
    if (button) {
      paused = !paused;
      button.setAttribute("aria-pressed", String(paused));
      showAge();
    }
  });

  // What a person folds or unfolds stays so. On a phone the board begins with what asks for somebody.
  const folds = new Map(); // whether each is open, by its id
  const phone = window.matchMedia("(max-width: 40rem)");

  const noteFolds = () => {
    for (const details of document.querySelectorAll("details[id]")) folds.set(details.id, details.open);
  };

  const settleFolds = () => {
    for (const details of document.querySelectorAll("details[id]")) {
      if (folds.has(details.id)) details.open = folds.get(details.id);
      else if (details.classList.contains("fold") && phone.matches) details.open = false;
    }
  };

  document.addEventListener("htmx:beforeSwap", (event) => {
    const { xhr, target } = event.detail;
    if (!target.hasAttribute("data-live")) return;
    const tag = xhr.getResponseHeader("ETag");
    // Each answer of a fragment has a tag. Without one it is another page, such as the login.
    if (xhr.status >= 400 || !tag) {
      event.detail.shouldSwap = false;
      note(false);
      return;
    }
    note(true);
    if (tags.get(target.id) === tag || isInUse(target)) event.detail.shouldSwap = false;
    else {
      tags.set(target.id, tag);
      noteFolds();
    }
  });
  document.addEventListener("htmx:afterSwap", settleFolds);
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, (event) => {
      if (event.target.hasAttribute("data-live")) note(false);
    });
  }
  // Unfold takes every form that comes in for one more row of its inlines, and parses what only those have.
  document.addEventListener("htmx:afterSettle", ({ target }) => {
    if (target.dataset && target.querySelector(".form-row")) target.dataset.inlineFormset ??= '{"options": {"prefix": ""}}';
  }, true);
  document.addEventListener("htmx:afterSettle", () => { showTimes(); showAge(); });
  document.addEventListener("DOMContentLoaded", () => { showTimes(); showAge(); settleFolds(); });
  setInterval(showTimes, 1000);
})();
