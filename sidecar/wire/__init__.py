"""What travels: envelopes, subjects, routes, files. Pydantic lives here and is converted at the edge."""
