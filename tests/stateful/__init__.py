"""Long sequences of acts against pure models."""
