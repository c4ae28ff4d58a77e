/* The test run of the flow. */

export function createTestPanel() {}
