"""ONNX operators that are not translated, and why: what a refusal by name says."""

RANDOM = "it draws random numbers: no function of the input"
TEXT = "it works on text"
SEQUENCE = "it works on sequences of tensors, or on tensors that may be absent: export with tensors"
LOSS = "it is a loss of training: export the network up to its outputs"
SHAPE = "the shape of its result depends on values"
INTEGER = (
    "it multiplies integers: export the quantised network with QuantizeLinear and "
    "DequantizeLinear around floating-point layers"
)
UNKNOWN = "it has no translation yet: replace it by operators that have one"

REASONS = {
    "Bernoulli": RANDOM,
    "Multinomial": RANDOM,
    "RandomNormal": RANDOM,
    "RandomNormalLike": RANDOM,
    "RandomUniform": RANDOM,
    "RandomUniformLike": RANDOM,
    "RegexFullMatch": TEXT,
    "StringConcat": TEXT,
    "StringNormalizer": TEXT,
    "StringSplit": TEXT,
    "TfIdfVectorizer": TEXT,
    "ConcatFromSequence": SEQUENCE,
    "Optional": SEQUENCE,
    "OptionalGetElement": SEQUENCE,
    "OptionalHasElement": SEQUENCE,
    "SequenceAt": SEQUENCE,
    "SequenceConstruct": SEQUENCE,
    "SequenceEmpty": SEQUENCE,
    "SequenceErase": SEQUENCE,
    "SequenceInsert": SEQUENCE,
    "SequenceLength": SEQUENCE,
    "SequenceMap": SEQUENCE,
    "SplitToSequence": SEQUENCE,
    "NegativeLogLikelihoodLoss": LOSS,
    "SoftmaxCrossEntropyLoss": LOSS,
    "NonMaxSuppression": SHAPE,
    "Unique": SHAPE,
    "ConvInteger": INTEGER,
    "DynamicQuantizeLinear": "its scale depends on the input: quantise with constant scales",
    "MatMulInteger": INTEGER,
    "QLinearConv": INTEGER,
    "QLinearMatMul": INTEGER,
    "Det": "a determinant has no rule",
    "ImageDecoder": "it reads compressed images: decode them before",
    "STFT": "write it as frames, a window and a DFT",
    "Scan": "export the loop with a trip count (Loop), or written out",
}


def reason(name: str) -> str:
    """Why an operator is refused."""
    return REASONS.get(name, UNKNOWN)
