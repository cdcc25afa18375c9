"""The whole journal out to files that others read, and back into an empty database."""
