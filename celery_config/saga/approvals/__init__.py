"""Four eyes: what one operator asks for, and another one approves or declines."""
