// The service's own pages are as light or dark as its admin, where people choose it.
"use strict";

(() => {
  const chosen = (localStorage.getItem("_x_adminTheme") ?? "").replaceAll('"', "");
  const isDark = chosen === "dark" || (chosen !== "light" && matchMedia("(prefers-color-scheme: dark)").matches);
  document.documentElement.classList.toggle("dark", isDark);
})();
