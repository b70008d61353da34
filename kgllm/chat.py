"""Chat: questions one after the other, each of which may refer to those before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from kgllm.answer import Answer, Claim
from kgllm.conversation import Conversation
from kgllm.protocols import Step
from kgllm.runs import new_id

if TYPE_CHECKING:
    from kgllm.assistant import Assistant

__all__ = ["Chat"]


class Chat:
    """A conversation that grows by one turn an answer. Made by ``Assistant.chat``."""

    def __init__(self, assistant: Assistant, conversation: Conversation) -> None:
        self.conversation = conversation if conversation.id else replace(conversation, id=new_id())
        self._assistant = assistant

    def ask(self, question: str) -> Answer:
        """Answer one question in the light of those before. Raises ``QuestionError`` as ``Assistant.ask``."""
        answer = self._assistant.ask(question, conversation=self.conversation)
        self.conversation = self.conversation.followed_by(answer)
        return answer

    def stream(self, question: str) -> Iterator[Step | Claim | Answer]:
        """As ``Assistant.stream``; a question that is given up before its answer leaves no turn."""
        for item in self._assistant.stream(question, conversation=self.conversation):
            if isinstance(item, Answer):
                self.conversation = self.conversation.followed_by(item)
            yield item

    def __repr__(self) -> str:
        turns = len(self.conversation.turns)
        return f"<Chat of {turns} turn{'' if turns == 1 else 's'} over {self._assistant.workspace.name}>"
