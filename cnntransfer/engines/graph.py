"""A LiteRT file, put together operation by operation without TensorFlow.

It is a flatbuffer whose schema comes with LiteRT: one subgraph and one signature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..frameworks import litert_schema

#: What the schema asks of a buffer with numbers; in bytes.
_ALIGNMENT = 16
_SCHEMA_VERSION, _FILE_IDENTIFIER = 3, b"TFL3"
_SIGNATURE = "serving_default"


@dataclass(frozen=True)
class Operation:
    """An operation that LiteRT has built in, in its first version.

    Attributes:
        code: Its name in ``BuiltinOperator``.
        kind: Of its options, as ``BuiltinOptions`` names it; empty for an operation without.
        options: Those of them that are not the schema's defaults.
    """

    code: str
    kind: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _AlignedBuffer:
    """A buffer whose bytes begin where LiteRT wants them; the builder alone aligns to 4."""

    buffer: Any

    def Pack(self, builder: Any) -> Any:  # noqa: N802 - what the model's Pack calls
        builder.Prep(_ALIGNMENT, self.buffer.data.nbytes)
        return self.buffer.Pack(builder)


class Graph:
    """A model that grows operation by operation; tensors are float32 and have numbers.

    Raises:
        MissingDependencyError: ai-edge-litert is not installed.
    """

    def __init__(self) -> None:
        self._schema = litert_schema()
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._codes: dict[str, int] = {}
        # The first buffer is empty by convention, for all tensors that are computed.
        self._buffers = [self._new("Buffer")]

    def tensor(self, name: str, width: int) -> int:
        """A tensor that is given or computed, shape (batch, width); its number."""
        return self._tensor(name, [1, width], shapeSignature=[-1, width])

    def constant(self, name: str, array: NDArray[np.float32]) -> int:
        """A tensor that the file holds; its number."""
        data = array.astype("<f4").reshape(-1).view(np.uint8)
        self._buffers.append(_AlignedBuffer(self._new("Buffer", data=data)))
        return self._tensor(name, list(array.shape), buffer=len(self._buffers) - 1)

    def operation(self, operation: Operation, inputs: Sequence[int], name: str, width: int) -> int:
        """An operation on tensors; the number of what it gives, shape (batch, width)."""
        output = self.tensor(name, width)
        code = self._codes.setdefault(operation.code, len(self._codes))
        operator = self._new("Operator", opcodeIndex=code, inputs=[*inputs], outputs=[output])
        if operation.kind:
            operator.builtinOptions = self._new(operation.kind, **operation.options)
            operator.builtinOptionsType = self.value("BuiltinOptions", operation.kind)
        self._operators.append(operator)
        return output

    def value(self, enumeration: str, name: str) -> int:
        """The number that one of the schema's enumerations gives a name."""
        number: int = getattr(getattr(self._schema, enumeration), name)
        return number

    def packed(self, inputs: Mapping[str, int], outputs: Mapping[str, int]) -> bytes:
        """The file's content.

        Args:
            inputs: Numbers of tensors by their names in the signature ``serving_default``.
            outputs: Likewise.
        """
        graph = self._new(
            "SubGraph",
            name="main",
            tensors=self._tensors,
            operators=self._operators,
            inputs=[*inputs.values()],
            outputs=[*outputs.values()],
        )
        signature = self._new(
            "SignatureDef",
            signatureKey=_SIGNATURE,
            inputs=self._named(inputs),
            outputs=self._named(outputs),
        )
        model = self._new(
            "Model",
            version=_SCHEMA_VERSION,
            operatorCodes=[self._code(name) for name in self._codes],
            subgraphs=[graph],
            buffers=self._buffers,
            signatureDefs=[signature],
        )
        builder = self._schema.flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), file_identifier=_FILE_IDENTIFIER)
        return bytes(builder.Output())

    def _new(self, kind: str, **attributes: Any) -> Any:
        """An object of the schema; in LiteRT 2.0 their classes take no arguments."""
        new = getattr(self._schema, f"{kind}T")()
        vars(new).update(attributes)
        return new

    def _tensor(self, name: str, shape: list[int], **others: Any) -> int:
        others |= {"name": name, "shape": shape, "type": self.value("TensorType", "FLOAT32")}
        self._tensors.append(self._new("Tensor", hasRank=True, **others))
        return len(self._tensors) - 1

    def _code(self, name: str) -> Any:
        code = self.value("BuiltinOperator", name)
        # Old readers know a field of one byte only.
        old = min(code, self.value("BuiltinOperator", "PLACEHOLDER_FOR_GREATER_OP_CODES"))
        return self._new("OperatorCode", builtinCode=code, deprecatedBuiltinCode=old, version=1)

    def _named(self, tensors: Mapping[str, int]) -> list[Any]:
        return [self._new("TensorMap", name=name, tensorIndex=i) for name, i in tensors.items()]
