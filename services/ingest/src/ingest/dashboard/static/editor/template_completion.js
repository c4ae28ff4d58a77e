/* Completion in text fields: a list of options below the field (a combobox), used with arrows, Enter or Tab, and Escape.

   A source looks at the text and the caret and returns {from, to, options: [{name, detail, insert?}]} or null. */

const MOST = 50;
let lists = 0;

/* The part of a template between `{{` or `{%` and the caret, null outside. */
function openTemplate(text, caret) {
  const before = text.slice(0, caret);
  const start = Math.max(before.lastIndexOf("{{"), before.lastIndexOf("{%"));
  if (start < 0 || Math.max(before.lastIndexOf("}}"), before.lastIndexOf("%}")) > start) return null;
  const inside = before.slice(start + 2);
  const quotes = inside.replace(/\\./g, "").match(/["']/g) || [];
  return quotes.length % 2 ? null : inside;
}

function matching(options, word) {
  const wanted = word.toLowerCase();
  const rank = ({ name }) => (name === word ? 0 : 1);
  const begins = options.filter(({ name }) => name.toLowerCase().startsWith(wanted)).sort((a, b) => rank(a) - rank(b));
  const contains = options.filter((option) => !begins.includes(option) && option.name.toLowerCase().includes(wanted));
  return [...begins, ...contains].slice(0, MOST);
}

/* Names after `{{`, filters after `|`. `filters` is the schema's `x-filters`. */
export function templateSource(names, filters) {
  return (text, caret) => {
    const inside = openTemplate(text, caret);
    if (inside === null) return null;
    const word = /[\w.-]*$/.exec(inside)[0];
    const before = inside.slice(0, inside.length - word.length);
    const isFilter = /\|\s*$/.test(before);
    /* After a whole name and a blank, only an operator, a filter or the end may follow. */
    if (!isFilter && !/(^|[\s(,:=<>])$/.test(before) || /[\w\])"']\s+$/.test(before) && !/(==|!=|[<>]|\b(if|and|or|in|unless|contains|assign\s+\w+\s*=)|[:,=])\s*$/.test(before)) return null;
    const all = isFilter ? filters.map(({ name, description }) => ({ name, detail: description })) : names();
    const end = /^[\w.-]*/.exec(text.slice(caret))[0].length;
    const rest = text.slice(caret + end);
    const close = text.lastIndexOf("{%", caret) > text.lastIndexOf("{{", caret) || /^[^{]*?\}\}/.test(rest) ? "" : " }}";
    const space = !isFilter && before === "" ? " " : "";
    const options = matching(all, word).map((option) => ({ ...option, insert: `${space}${option.insert || option.name}`, close }));
    return { from: caret - word.length, to: caret + end, options };
  };
}

/* Names at the caret, in an expression without braces. */
export function expressionSource(names) {
  return (text, caret, asked) => {
    const word = /[A-Za-z_][\w.-]*$/.exec(text.slice(0, caret))?.[0] ?? "";
    if (!word && !asked) return null;
    return { from: caret - word.length, to: caret, options: matching(names(), word).map((option) => ({ ...option })) };
  };
}

/* The whole text is one of these names, or another text: Tab leaves the field as it is. */
export function choiceSource(names) {
  return (text, caret, asked) => {
    if (text.includes("{{")) return null;
    const options = matching(names(), asked ? "" : text);
    return options.length === 1 && options[0].name === text && !asked ? null : { from: 0, to: text.length, options, keepsTab: true };
  };
}

/* Attaches sources to an input or a textarea that is in the document's flow inside `holder`. */
export function attachCompletion(field, holder, sources, label) {
  const list = document.createElement("ul");
  let shown = null;
  let active = -1;
  lists += 1;
  list.id = `completion-${lists}`;
  list.className = "completion";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", label);
  list.hidden = true;
  holder.append(list);
  /* A textarea is a text box of its own: it may not be a combobox. */
  const isInput = field.tagName === "INPUT";
  if (isInput) {
    field.setAttribute("role", "combobox");
    field.setAttribute("aria-expanded", "false");
  }
  field.setAttribute("aria-autocomplete", "list");
  field.setAttribute("autocomplete", "off");

  function close() {
    shown = null;
    active = -1;
    list.hidden = true;
    list.replaceChildren();
    field.removeAttribute("aria-activedescendant");
    field.removeAttribute("aria-controls");
    if (isInput) field.setAttribute("aria-expanded", "false");
  }

  function mark(index) {
    active = index;
    [...list.children].forEach((option, position) => {
      option.setAttribute("aria-selected", String(position === index));
      if (position !== index) return;
      field.setAttribute("aria-activedescendant", option.id);
      option.scrollIntoView({ block: "nearest" });
    });
  }

  function open(asked = false) {
    const caret = field.selectionStart;
    if (field.readOnly || caret === null || caret !== field.selectionEnd) return close();
    let found = null;
    for (const source of sources) found ||= source(field.value, caret, asked);
    if (!found?.options.length) return close();
    shown = found;
    list.replaceChildren(
      ...found.options.map((option, index) => {
        const item = document.createElement("li");
        const name = document.createElement("code");
        item.id = `${list.id}-${index}`;
        item.setAttribute("role", "option");
        name.textContent = option.name;
        item.append(name);
        if (option.detail) {
          const detail = document.createElement("span");
          detail.textContent = option.detail;
          item.append(detail);
        }
        /* The field keeps the focus. */
        item.addEventListener("mousedown", (event) => event.preventDefault());
        item.addEventListener("click", () => accept(index));
        return item;
      }),
    );
    list.hidden = false;
    field.setAttribute("aria-controls", list.id);
    if (isInput) field.setAttribute("aria-expanded", "true");
    mark(0);
  }

  function accept(index) {
    const { from, to, options } = shown;
    const option = options[index];
    const text = option.insert ?? option.name;
    field.setRangeText(text + (option.close ?? ""), from, to, "end");
    const caret = from + text.length;
    field.setSelectionRange(caret, caret);
    close();
    field.dispatchEvent(new Event("input", { bubbles: true }));
    close();
  }

  field.addEventListener("input", (event) => {
    if (event.isTrusted) open();
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === " " && event.ctrlKey || event.key === "ArrowDown" && !shown && isInput) {
      open(true);
      event.preventDefault();
      return;
    }
    if (!shown || event.isComposing) return;
    const count = shown.options.length;
    if (event.key === "ArrowDown") mark((active + 1) % count);
    else if (event.key === "ArrowUp") mark((active + count - 1) % count);
    else if (event.key === "Enter" || event.key === "Tab" && !event.shiftKey && !shown.keepsTab) accept(active);
    else if (event.key === "Escape") close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  field.addEventListener("blur", close);
  field.addEventListener("click", () => shown && open());
}
