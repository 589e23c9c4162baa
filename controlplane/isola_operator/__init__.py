"""The operator: observes pods and time, records facts, carries out what the kernel decides."""
