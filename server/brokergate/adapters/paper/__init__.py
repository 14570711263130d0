"""The paper broker: `sim`'s venue behind the port, fed by a tape, a synthetic market or a client."""
