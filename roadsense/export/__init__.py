"""The trained policy for devices: C99, TFLite and ONNX, each proven equal to torch before it is kept."""
