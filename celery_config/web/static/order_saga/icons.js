// An icon is the ligature of its name: a screen reader would read "dock_to_right". Icons are hidden from it, and those
// that people click become buttons with a name, which a keyboard reaches, too.
"use strict";

(() => {
  const names = { close: "Close the menu", dock_to_right: "Show or hide the menu", favorite: "Keep", unfold_more: "Open" };

  const makeButton = (element, name) => {
    element.setAttribute("role", "button");
    element.setAttribute("aria-label", name);
    element.tabIndex = 0;
  };

  const nameIcons = (within) => {
    for (const icon of within.querySelectorAll(".material-symbols-outlined:not([data-named])")) {
      icon.dataset.named = "";
      const name = names[icon.textContent.trim()];
      const isClicked = icon.hasAttribute("x-on:click") || icon.hasAttribute("@click");
      if (isClicked && !icon.closest("a, button")) makeButton(icon, name ?? icon.title ?? "Open");
      else icon.setAttribute("aria-hidden", "true");
    }
  };

  document.addEventListener("keydown", (event) => {
    if (event.target.matches?.("[data-named][role=button]") && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      event.target.click();
    }
  });
  document.addEventListener("htmx:afterSettle", (event) => nameIcons(event.target));
  document.addEventListener("DOMContentLoaded", () => nameIcons(document));
})();
