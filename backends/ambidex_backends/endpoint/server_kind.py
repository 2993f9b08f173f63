"""Which kind of server it is, by the list of its models: `GET /v1/models`. No I/O.

One route that all of them have and that costs nothing; and it is asked anyway where the model is not named. A server
that cannot be told is None: a proxy in front of several, for instance, lists what it likes.
"""

from __future__ import annotations

from typing import Any

from ambidex_backends.http.dialect import LLAMACPP, OLLAMA, OURS, SGLANG, TGI, VLLM, Dialect
from ambidex_backends.http.json_values import as_list, as_object, as_text

_BY_OWNER = {"vllm": VLLM, "sglang": SGLANG, "llamacpp": LLAMACPP, "library": OLLAMA, "ambidex": OURS}
"""`owned_by` of a model: most servers give their own name there, Ollama the namespace of the model in its library."""


def kind_of_server(data: Any) -> Dialect | None:
    models = [as_object(item) for item in as_list(as_object(data).get("data"))]
    for model in models:
        name, owner = as_text(model.get("id")), as_text(model.get("owned_by"))
        if owner.lower() in _BY_OWNER:
            return _BY_OWNER[owner.lower()]
        if owner and owner == name and not model.get("created"):  # TGI repeats the model's id, and knows no time
            return TGI
        namespace, _, tagged = name.rpartition("/")
        if owner and ":" in tagged and owner == namespace.rpartition("/")[2]:  # "someone/model:tag" of someone
            return OLLAMA
    return None
