"""What every process stands on: settings, database, embedded servers, outbox, queue, clock, signatures."""
