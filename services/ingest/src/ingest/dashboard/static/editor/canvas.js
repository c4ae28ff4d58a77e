/* The canvas: draws the flow of the store with React Flow, and turns what is done on it into edits.

   createCanvas(root, { store, texts, icons, layOut, addNode }) returns
   | method | meaning |
   |---|---|
   | fit(), zoomIn(), zoomOut() | the part that is shown |
   | show(id) | centres a node, selects it and moves the focus to it |
   | middle() | the point of the flow in the middle of the canvas |
   | arrange() | lays out all nodes anew |
   | highlight(steps) | marks a path: [{ nodeId, handle }] in order; [] marks none |
   | selectedEdges(), selectedNotes() | what is selected besides the nodes of the store |

   `layOut(graph)` promises { id: { x, y } }. `addNode(type, position)` adds a node that was dropped. */

import { drawnEdges, drawnNodes, positioned } from "editor/drawing";
import { GRID, edgesOf, nodesOf, positionOf, withEdge, withNoteText, withPositions } from "editor/edits";
import { NodeCard, NoteCard } from "editor/node_card";

const { createElement: h, useEffect, useMemo, useRef, useState } = window.React;
const { ReactFlow, ReactFlowProvider, Background, useNodesInitialized, useReactFlow, applyNodeChanges, applyEdgeChanges } = window.ReactFlow;

export const DRAGGED_TYPE = "application/x-filas-node-type";

const TYPES = { flow: NodeCard, note: NoteCard };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const isCalm = window.matchMedia("(prefers-reduced-motion: reduce)").matches;
const MOVE = { duration: isCalm ? 0 : 200 };
const READABLE = 0.6;
const NARROW = 600;
const frame = () => new Promise((done) => requestAnimationFrame(done));
const FIT = { padding: 0.12, maxZoom: 1, ...MOVE };

function Canvas({ store, texts, icons, layOut, addNode, handle }) {
  const flow = useReactFlow();
  const shared = useMemo(
    () => ({
      texts,
      icons,
      isReadOnly: store.isReadOnly,
      setNote: (id, text) => store.set(withNoteText(store.get(), id, text), { origin: "canvas", merge: `note ${id}` }),
    }),
    [store, texts, icons],
  );
  const automatic = useRef({});
  const path = useRef([]);
  const draw = (previous) => drawnNodes(store, previous, { shared, automatic: automatic.current, path: path.current });
  const [nodes, setNodes] = useState(() => draw([]));
  const [edges, setEdges] = useState(() => drawnEdges(store, [], { texts, path: path.current }));
  const shown = useRef({ nodes, edges });
  shown.current = { nodes, edges };

  const refresh = () => {
    shown.current.nodes = draw(shown.current.nodes);
    setNodes(shown.current.nodes);
    setEdges((previous) => drawnEdges(store, previous, { texts, path: path.current }));
  };
  useEffect(() => store.subscribe(refresh), [store]);

  /* The definition may have no positions: they are stored with the first edit that moves something. */
  const complete = (current) => withPositions(current, positioned(current, shown.current.nodes));
  const graph = () => ({
    nodes: nodesOf(store.get()).map((node) => {
      const { measured } = shown.current.nodes.find((one) => one.id === node.id) ?? {};
      return { id: node.id, width: measured?.width ?? 200, height: measured?.height ?? 80, starts: node.data?.mode === "trigger" };
    }),
    edges: edgesOf(store.get()).map(({ source, target }) => ({ source, target })),
  });

  const isMeasured = useNodesInitialized();
  const isReady = useRef(false);
  useEffect(() => {
    if (!isMeasured || isReady.current) return;
    isReady.current = true;
    const start = async () => {
      if (nodesOf(store.get()).every((node) => !positionOf(node))) {
        try {
          automatic.current = await layOut(graph());
          refresh();
        } catch {
          /* The nodes are shown in rows. */
        }
      }
      await frame();
      await frame();
      flow.fitView({ ...FIT, duration: 0 });
      if (flow.getZoom() < READABLE && handle.root.clientWidth < NARROW) showStart();
      handle.ready();
    };
    start();
  }, [isMeasured]);

  /* On a telephone, a whole flow would be too small to read. */
  function showStart() {
    const first = shown.current.nodes.find((node) => node.data.node?.data?.mode === "trigger") ?? shown.current.nodes[0];
    if (first) flow.setViewport({ x: 16 - first.position.x * READABLE, y: handle.root.clientHeight / 3 - first.position.y * READABLE, zoom: READABLE });
  }

  Object.assign(handle, {
    fit: () => flow.fitView(FIT),
    zoomIn: () => flow.zoomIn(MOVE),
    zoomOut: () => flow.zoomOut(MOVE),
    middle: () => {
      const box = handle.root.getBoundingClientRect();
      return flow.screenToFlowPosition({ x: box.x + box.width / 2, y: box.y + box.height / 2 });
    },
    show: (id, { isFocused = true } = {}) => {
      const found = shown.current.nodes.find((node) => node.id === id);
      if (!found) return;
      store.select([id]);
      const { width = 200, height = 80 } = found.measured ?? {};
      flow.setCenter(found.position.x + width / 2, found.position.y + height / 2, { zoom: Math.max(flow.getZoom(), 0.8), ...MOVE });
      if (isFocused) handle.focus(id);
    },
    focus: (id) => requestAnimationFrame(() => handle.root.querySelector(`.react-flow__node[data-id="${CSS.escape(id)}"]`)?.focus({ preventScroll: true })),
    arrange: async () => {
      const positions = await layOut(graph());
      store.set(withPositions(store.get(), positions), { origin: "canvas" });
      requestAnimationFrame(() => flow.fitView(FIT));
    },
    complete,
    highlight: (steps) => {
      path.current = steps;
      refresh();
    },
    selectedEdges: () => shown.current.edges.filter((edge) => edge.selected).map((edge) => edge.data.edge),
    selectedNotes: () => shown.current.nodes.filter((node) => node.selected && node.type === "note").map((node) => node.data.note.id),
    positionOf: (id) => shown.current.nodes.find((node) => node.id === id)?.position,
  });

  const commit = (positions) => store.set(withPositions(complete(store.get()), positions), { origin: "canvas" });

  function changeNodes(changes) {
    const kept = changes.filter((change) => change.type !== "remove");
    const next = applyNodeChanges(kept, shown.current.nodes);
    shown.current.nodes = next;
    setNodes(next);
    if (kept.some((change) => change.type === "select")) store.select(next.filter((node) => node.selected && node.type === "flow").map((node) => node.id));
    const moved = kept.filter((change) => change.type === "position" && change.dragging === false && change.position);
    if (moved.length) commit(Object.fromEntries(moved.map((change) => [change.id, change.position])));
  }

  function changeEdges(changes) {
    setEdges(applyEdgeChanges(changes.filter((change) => change.type !== "remove"), shown.current.edges));
  }

  function connect({ source, sourceHandle, target }) {
    if (nodesOf(store.get()).some((node) => node.id === target)) store.set(withEdge(complete(store.get()), source, sourceHandle, target), { origin: "canvas" });
  }

  /* A connection may be dropped anywhere on a node, not only on its input. */
  function endConnection(event, state) {
    if (state.isValid || state.fromHandle?.type !== "source") return;
    const point = event.changedTouches?.[0] ?? event;
    const target = document.elementFromPoint(point.clientX, point.clientY)?.closest(".react-flow__node")?.dataset.id;
    if (target) connect({ source: state.fromNode.id, sourceHandle: state.fromHandle.id, target });
  }

  function drop(event) {
    const type = event.dataTransfer.getData(DRAGGED_TYPE);
    if (!type) return;
    event.preventDefault();
    addNode(type, flow.screenToFlowPosition({ x: event.clientX - 20, y: event.clientY - 20 }));
  }

  /* Enter selects the node with the focus, arrows move the selected nodes. React Flow's own keys describe themselves
     in English only, so they are off. */
  function press(event) {
    const id = event.target.classList.contains("react-flow__node") ? event.target.dataset.id : null;
    if (!id || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Enter" || event.key === " ") {
      const others = event.shiftKey ? store.selection().filter((one) => one !== id) : [];
      store.select([...others, id]);
      event.preventDefault();
    } else if (ARROWS[event.key] && !store.isReadOnly) {
      if (!store.selection().includes(id)) store.select([id]);
      const [dx, dy] = ARROWS[event.key].map((step) => step * GRID * (event.shiftKey ? 5 : 1));
      const selected = new Set(store.selection());
      const positions = shown.current.nodes.filter((node) => selected.has(node.id)).map((node) => [node.id, { x: node.position.x + dx, y: node.position.y + dy }]);
      store.set(withPositions(complete(store.get()), Object.fromEntries(positions)), { origin: "canvas", merge: "arrows" });
      event.preventDefault();
    }
  }

  return h(
    ReactFlow,
    {
      nodes,
      edges,
      nodeTypes: TYPES,
      onNodesChange: changeNodes,
      onEdgesChange: changeEdges,
      onConnect: connect,
      onConnectEnd: endConnection,
      onDrop: drop,
      onDragOver: (event) => event.preventDefault(),
      onKeyDown: press,
      nodesDraggable: !store.isReadOnly,
      nodesConnectable: !store.isReadOnly,
      edgesFocusable: false,
      disableKeyboardA11y: true,
      deleteKeyCode: null,
      connectionRadius: 30,
      snapToGrid: true,
      snapGrid: [GRID, GRID],
      minZoom: 0.05,
      maxZoom: 2,
      proOptions: { hideAttribution: true },
      "aria-label": texts["editor.canvas"],
      role: "region",
    },
    h(Background, { gap: GRID, size: 1 }),
  );
}

export function createCanvas(root, options) {
  const handle = { root };
  const isReady = new Promise((resolve) => {
    handle.ready = resolve;
  });
  handle.isReady = isReady;
  window.ReactDOM.createRoot(root).render(h(ReactFlowProvider, null, h(Canvas, { ...options, handle })));
  return handle;
}
