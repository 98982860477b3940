// A button beside each id copies it. The server writes ids out; a page without this script shows them as they are.
"use strict";

(() => {
  const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
  const PLACES = "[data-id], .readonly, .readonly a, table.facts td, #result_list td";

  const copy = async (text) => {
    if (window.isSecureContext) return navigator.clipboard.writeText(text);
    // Without TLS browsers have no clipboard for pages, but copy what is selected.
    const box = document.createElement("textarea");
    box.value = text;
    document.body.append(box);
    box.select();
    document.execCommand("copy");
    box.remove();
  };

  const makeButton = (id) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.dataset.copy = id;
    button.title = "Copy";
    button.setAttribute("aria-label", `Copy ${id.slice(-8)}`);
    return button;
  };

  const addButtons = (within) => {
    for (const place of within.querySelectorAll(PLACES)) {
      const id = place.dataset.id ?? place.textContent.trim();
      if (place.dataset.copied !== undefined || place.children.length > 1 || !ID.test(id)) continue;
      place.dataset.copied = "";
      // A button may not stand in a link.
      const after = place.closest("a") ?? (place.matches("[data-id]") ? place : place.querySelector("[data-id], a"));
      if (after?.parentElement.querySelector(`:scope > [data-copy="${id}"]`)) continue;
      if (after) after.after(makeButton(id));
      else place.append(makeButton(id));
    }
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest?.("button.copy");
    if (!button) return;
    event.preventDefault();
    event.stopPropagation();
    await copy(button.dataset.copy);
    const label = button.getAttribute("aria-label");
    button.classList.add("copied");
    button.setAttribute("aria-label", "Copied");
    setTimeout(() => {
      button.classList.remove("copied");
      button.setAttribute("aria-label", label);
    }, 1500);
  });
  document.addEventListener("htmx:afterSettle", (event) => addButtons(event.target.parentElement ?? document));
  document.addEventListener("DOMContentLoaded", () => addButtons(document));
})();
