// The page of a flow: verbs open in a dialog, so that the picture stays in sight.
"use strict";

(() => {
  // A screen reader hears the sentence when it changes: the fragment itself is replaced as a whole.
  const saySentence = () => {
    const sentence = document.querySelector("[data-said]");
    const said = sentence && document.getElementById(sentence.dataset.said);
    const text = sentence?.textContent.trim() ?? "";
    if (said && said.dataset.text !== text) {
      if (said.dataset.text !== undefined) said.textContent = text;
      said.dataset.text = text;
    }
  };

  document.addEventListener("htmx:afterSettle", saySentence);
  document.addEventListener("DOMContentLoaded", saySentence);

  const openDialog = async (dialog, url) => {
    const answer = await fetch(url, { credentials: "same-origin" });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const act = page.getElementById("act");
    // A refusal or the login is a page of its own.
    if (!answer.ok || !act) {
      window.location.assign(url);
      return;
    }
    const form = act.querySelector("form");
    if (form) form.action = url;
    act.tabIndex = -1;
    act.autofocus = true; // the dialog begins at its title, not at the first field
    dialog.replaceChildren(document.importNode(act, true));
    dialog.showModal();
  };

  document.addEventListener("click", (event) => {
    const dialog = document.getElementById("verb-dialog");
    if (!dialog || event.defaultPrevented || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const link = event.target.closest?.("a[href]");
    if (link?.matches("[data-dialog]")) {
      event.preventDefault();
      openDialog(dialog, link.href);
    } else if (link && dialog.contains(link) && link.pathname === window.location.pathname) {
      event.preventDefault();
      dialog.close();
    }
  });
})();
