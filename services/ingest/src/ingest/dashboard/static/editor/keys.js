/* The keys of the editor. Inside of fields, only those of the browser work. */

function isTyping(target) {
  return target instanceof Element && Boolean(target.closest("input, textarea, select, [contenteditable], .cm-editor"));
}

export function handleKeys(root, place, { store, canvas, commands }) {
  const plain = { Delete: () => commands.remove(), Backspace: () => commands.remove(), f: () => canvas.fit(), "+": () => canvas.zoomIn(), "-": () => canvas.zoomOut() };
  const held = {
    z: (event) => (event.shiftKey ? store.redo() : store.undo()),
    y: () => store.redo(),
    d: () => commands.duplicate(),
    a: () => commands.selectAll(),
  };

  /* In the whole editor: undo. On the canvas: the others. */
  root.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.isComposing || event.altKey || isTyping(event.target)) return;
    const isHeld = event.ctrlKey || event.metaKey;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const action = isHeld ? held[key] : plain[key];
    if (!action || (!place.contains(event.target) && !(isHeld && "zy".includes(key)))) return;
    event.preventDefault();
    action(event);
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
