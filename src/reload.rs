//! Config -> a running world. Start-up and reload run the same code; any failure keeps the old world.
