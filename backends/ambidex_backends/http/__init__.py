"""What `hub` and `endpoint` share: the HTTP client, server-sent events, and OpenAI's chat wire in both directions.

The only place that imports httpx (and httpcore and h11 under it), when the first request is sent; what does no I/O
says so. httpx, because it is the library that users of this field mock and configure. Connections to a server itself
are ours (`kept_connection.py`), in httpcore's pool; those to a proxy are httpcore's.
"""
