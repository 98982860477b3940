"""What the four HTTP APIs share: authentication, problem details, pages, health, feeds."""
