"""What `hub` and `endpoint` share: the HTTP client, server-sent events, and OpenAI's chat wire in both directions.

The only place that imports httpx (and httpcore under it): in `client.py` and `connection.py`, when the first request
is sent. Everything else here is pure. httpx, because it is the library that users of this field mock and configure;
its successor httpx2 has the same names, so that the change would be one of two import lines.
"""
