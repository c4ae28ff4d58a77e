"""What every channel type accepts, for the checks of flows, for the flow-runner and for the notifier."""
