// The service's own pages are as light or dark as its admin, where people choose it.
"use strict";

(() => {
  const chosen = (localStorage.getItem("_x_adminTheme") ?? "").replaceAll('"', "");
  const isDark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  for (const name of ["dark", "dark-mode"]) document.documentElement.classList.toggle(name, isDark); // the second is Swagger UI's
})();
