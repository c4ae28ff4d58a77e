/* Continues a search whose time was over before its page was full: adds the rows of the following pages to this one.

   | attribute | meaning |
   |---|---|
   | data-search-part | the found rows and the end of the page |
   | data-search-end | the end of the page: how far the search has come, or the links to other pages |
   | a data-search-more | leads to the next part of the search; missing when the search is complete or its page full |
   | data-busy | the text while the search continues |

   Without this file, the link continues the search. */
(() => {
  "use strict";

  const ROWS = 50;
  /* A rare word at millions of events: each request takes a fifth of a second. */
  const REQUESTS = 50;
  const part = document.querySelector("[data-search-part]");
  if (!part) return;

  function link() {
    return part.querySelector("a[data-search-more]");
  }

  function showBusy() {
    const text = part.querySelector("[data-busy]");
    if (text) text.textContent = text.dataset.busy;
  }

  function add(page) {
    const fresh = page.querySelector("[data-search-part]");
    if (!fresh) throw new Error("no results");
    const [rows, added] = [part.querySelector("tbody"), fresh.querySelectorAll("tbody > tr")];
    if (!rows && (added.length || !document.querySelector("main tbody"))) {
      part.replaceChildren(...fresh.childNodes);
    } else {
      rows?.append(...added);
      part.querySelector("[data-search-end]").replaceWith(fresh.querySelector("[data-search-end]"));
    }
    part.dispatchEvent(new CustomEvent("filas:updated", { bubbles: true }));
  }

  async function search() {
    for (let request = 0; request < REQUESTS && link(); request++) {
      if (part.querySelectorAll("tbody > tr").length >= ROWS) return;
      const stated = part.querySelector("[data-busy]")?.textContent;
      showBusy();
      try {
        const answer = await fetch(link().href);
        if (!answer.ok) throw new Error(String(answer.status));
        add(new DOMParser().parseFromString(await answer.text(), "text/html"));
      } catch {
        /* The link remains, and the page that it opens states what is wrong. */
        const text = part.querySelector("[data-busy]");
        if (text && stated) text.textContent = stated;
        return;
      }
    }
  }

  search();
})();
