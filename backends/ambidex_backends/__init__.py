"""What answers: models in this process (local), Hugging Face (hub) and OpenAI-compatible servers (endpoint)."""
