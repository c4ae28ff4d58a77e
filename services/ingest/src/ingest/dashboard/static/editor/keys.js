/* The keys of the editor. Inside of fields, only those of the browser work. */

function isTyping(target) {
  return target instanceof Element && Boolean(target.closest("input, textarea, select, [contenteditable], .cm-editor"));
}

export function handleKeys(root, place, { store, canvas, commands, frame, find, help }) {
  const plain = {
    Delete: () => commands.remove(),
    Backspace: () => commands.remove(),
    Escape: () => store.select([]),
    f: () => canvas.fit(),
    a: () => (frame.open(frame.isNarrow() ? "palette" : frame.opened()), frame.palette.querySelector("button")?.focus()),
    c: () => (frame.open("node"), document.getElementById("connect-from")?.focus()),
    "+": () => canvas.zoomIn(),
    "-": () => canvas.zoomOut(),
  };
  const held = {
    z: (event) => (event.shiftKey ? store.redo() : store.undo()),
    y: () => store.redo(),
    f: () => find.focus(),
    d: () => commands.duplicate(),
    a: () => commands.selectAll(),
  };
  const everywhere = new Set(["z", "y", "f"]);

  root.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.altKey || isTyping(event.target)) return;
    const isHeld = event.ctrlKey || event.metaKey;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key === "?") help();
    else {
      const action = isHeld ? held[key] : plain[key];
      if (!action || !(place.contains(event.target) || (isHeld && everywhere.has(key)))) return;
      action(event);
    }
    event.preventDefault();
  });

  /* The browser's own copy and paste: they need no permission, and the menu of the browser works too. */
  function isOnCanvas() {
    return place.contains(document.activeElement) && !isTyping(document.activeElement);
  }
  for (const kind of ["copy", "cut"]) {
    document.addEventListener(kind, (event) => {
      if (!isOnCanvas() || String(document.getSelection())) return;
      const text = commands.copied();
      if (!text) return;
      event.clipboardData.setData("text/plain", text);
      event.preventDefault();
      if (kind === "cut") commands.remove();
    });
  }
  document.addEventListener("paste", (event) => {
    if (!isOnCanvas()) return;
    event.preventDefault();
    commands.paste(event.clipboardData.getData("text/plain"));
  });
}
