"""From ONNX files to modules of plain torch functions, which `torch.export` captures."""
