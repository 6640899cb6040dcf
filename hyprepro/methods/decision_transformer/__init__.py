"""Decision Transformers: agents with memory, told the task by a prompt."""
