// Names for those who do not see the page. An icon is the ligature of its name: a screen reader would read
// "dock_to_right". Icons are hidden from it, and what people click has a name, and is reached by a keyboard.
"use strict";

(() => {
  const names = {
    add: "Add", arrow_back: "Back", close: "Close the menu", computer: "Light or dark", dark_mode: "Light or dark",
    dock_to_right: "Show or hide the menu", favorite: "Keep", filter_list: "Filters", light_mode: "Light or dark", more_horiz: "More",
    more_vert: "More", search: "Search", unfold_more: "Open",
  };
  const ICON = ".material-symbols-outlined";
  const CLICKED = "x-on:click";

  // An anchor without an address is no link: a keyboard does not reach it, and it may not have a name.
  const makeButton = (part) => {
    part.setAttribute("role", "button");
    part.tabIndex = 0;
  };

  const nameIcon = (icon) => {
    const name = names[icon.textContent.trim()] ?? (icon.title || icon.textContent.trim().replaceAll("_", " "));
    const around = icon.closest("a, button");
    if (!around && (icon.hasAttribute(CLICKED) || icon.hasAttribute("@click"))) {
      icon.setAttribute("aria-label", name);
      makeButton(icon);
      return;
    }
    if (around?.matches("a:not([href])") && around.hasAttribute(CLICKED)) makeButton(around);
    icon.setAttribute("aria-hidden", "true");
    const others = [...(around?.querySelectorAll(ICON) ?? [])].map((each) => each.textContent).join("");
    const isBare = around && around.textContent.replace(/\s/g, "") === others.replace(/\s/g, "");
    if (isBare && !around.title && !around.hasAttribute("aria-label")) around.setAttribute("aria-label", name);
  };

  // select2 draws its own box in place of a select, and forgets the label.
  const nameBox = (box) => {
    const select = box.closest(".select2-container")?.previousElementSibling;
    const label = select?.labels?.[0]?.textContent.trim() ?? select?.name;
    if (label) box.setAttribute("aria-label", label);
    box.removeAttribute("aria-labelledby");
    box.querySelector("[role=textbox]")?.setAttribute("aria-label", label ?? "Choice");
  };

  const nameAll = (within) => {
    within.querySelectorAll(`${ICON}:not([aria-hidden]):not([role])`).forEach(nameIcon);
    within.querySelectorAll(".select2-selection:not([aria-label])").forEach(nameBox);
  };

  document.addEventListener("keydown", (event) => {
    if (event.target.matches?.(`:is(a:not([href]), ${ICON})[role=button]`) && (event.key === "Enter" || event.key === " ")) {
      event.preventDefault();
      event.target.click();
    }
  });
  document.addEventListener("DOMContentLoaded", () => {
    nameAll(document);
    // What htmx, Alpine and select2 add later.
    new MutationObserver(() => nameAll(document)).observe(document.body, { childList: true, subtree: true });
  });
})();
