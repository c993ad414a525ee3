"""FastAPI, a file, torchvision's transforms, and the network in eager torch: the same one, with weights by chance."""

import torch
from fastapi import FastAPI, UploadFile
from PIL import Image
from torchvision import transforms
from torchvision.models import mobilenet_v2

network = mobilenet_v2().eval()
prepare = transforms.Compose(
    [
        transforms.Resize(224),
        transforms.CenterCrop(224),
        transforms.ToTensor(),
        transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
    ]
)
app = FastAPI()


@app.post("/answers")
def answer(files: UploadFile) -> dict[str, list[float]]:
    """Name the picture, in a thread of the pool."""
    pixels = prepare(Image.open(files.file).convert("RGB"))
    with torch.inference_mode():
        return {"probabilities": network(pixels[None])[0].softmax(0)[:5].tolist()}
