"""Names of operations that are linear, but for a constant: by themselves, or once all factors but
one are constants.

What is named otherwise and is said to act as a linear map is listed among the assumptions, one by
one.
"""

ALWAYS = {
    "affine", "add", "sub", "subtract", "rsub", "neg", "negative", "sum", "mean", "cumsum",
    "nansum", "trace", "diff", "alias", "clone", "detach", "copy", "to", "_to_copy", "type_as",
    "contiguous", "lift_fresh_copy", "view", "_unsafe_view", "reshape", "view_as", "reshape_as",
    "flatten", "unflatten", "squeeze", "unsqueeze", "expand", "expand_as", "broadcast_to", "repeat",
    "repeat_interleave", "tile", "permute", "transpose", "t", "swapaxes", "swapdims", "movedim",
    "moveaxis", "numpy_T", "mT", "flip", "fliplr", "flipud", "roll", "rot90", "select", "slice",
    "narrow", "index", "index_select", "gather", "take", "take_along_dim", "unfold", "unbind",
    "split", "split_with_sizes", "chunk", "tensor_split", "cat", "concat", "concatenate", "stack",
    "hstack", "vstack", "dstack", "as_strided", "diagonal", "diag", "diag_embed", "tril", "triu",
    "meshgrid", "atleast_1d", "atleast_2d", "atleast_3d", "slice_scatter", "select_scatter",
    "diagonal_scatter", "pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d",
    "reflection_pad3d", "replication_pad1d", "replication_pad2d", "replication_pad3d",
    "_pad_circular", "im2col", "col2im", "pixel_shuffle", "pixel_unshuffle", "channel_shuffle",
    "avg_pool1d", "avg_pool2d", "avg_pool3d", "adaptive_avg_pool1d", "adaptive_avg_pool2d",
    "adaptive_avg_pool3d", "_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "upsample_nearest1d",
    "upsample_nearest2d", "upsample_nearest3d", "_upsample_nearest_exact1d",
    "_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "upsample_linear1d",
    "upsample_bilinear2d", "upsample_trilinear3d", "upsample_bicubic2d", "getitem",
    "the entries that bend",
}  # fmt: skip
"""Linear whatever their operands are."""

WITH_CONSTANTS = {
    "mul", "multiply", "div", "divide", "true_divide", "addmm", "addmv", "addbmm", "baddbmm", "mm",
    "mv", "bmm", "matmul", "dot", "vdot", "inner", "outer", "linear", "einsum", "tensordot", "kron",
    "bilinear", "convolution", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "batch_norm", "native_batch_norm", "_native_batch_norm_legit_no_training",
    "cudnn_batch_norm", "addcmul", "addcdiv", "lerp", "where", "masked_fill", "scatter",
    "scatter_add", "index_add", "index_put", "dropout", "native_dropout",
}  # fmt: skip
"""Linear in one operand where the others, weights and masks, are constants: those are in the maps
of the file."""
