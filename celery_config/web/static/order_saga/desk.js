// The order desk: to add a product that has a line already adds one to that line.
"use strict";

document.addEventListener("htmx:beforeRequest", (event) => {
  const { sku } = event.target.dataset;
  if (sku === undefined) return;
  const line = document.querySelector(`#desk-lines li:has([name="sku"][value="${CSS.escape(sku)}"])`);
  if (line === null) return;
  event.preventDefault();
  const quantity = line.querySelector('[name="quantity"]');
  quantity.stepUp();
  quantity.dispatchEvent(new Event("change", { bubbles: true })); // the request as curl is shown again
});
