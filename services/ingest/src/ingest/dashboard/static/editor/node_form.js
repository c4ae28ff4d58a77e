/* The form of the selected node. */

export function createNodeForm() {}
