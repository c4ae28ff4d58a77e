/* React Flow's bundle was compiled for `react/jsx-runtime`, which React 18 does not ship as a script. */
window.jsxRuntime = {
  Fragment: window.React.Fragment,
  jsx: (type, { children, ...props }, key) => window.React.createElement(type, key === undefined ? props : { ...props, key }, ...[children ?? []].flat(1)),
};
window.jsxRuntime.jsxs = window.jsxRuntime.jsx;
