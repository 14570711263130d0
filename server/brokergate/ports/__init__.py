"""What the engine needs from outside, as protocols; the implementations stand on higher floors."""
