"""What the relay does on its own, in bounded passes under database leases, so that two relays may run."""
