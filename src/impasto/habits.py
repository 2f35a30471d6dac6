"""Names that people bring from other programs of style transfer, and what the same is called here."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from types import MappingProxyType

__all__ = ["ARGUMENTS", "brought"]

ARGUMENTS: Mapping[str, str] = MappingProxyType(
    {
        "content": "the photo is the first argument",
        "style": "a style, or a list of them, is the second argument",
        "output": "the picture is returned: save it where you like",
    }
)
"""What is no setting, and where it goes in Python."""

# Ours -> theirs: of neural-style and its ports, fast-neural-style, Magenta, the tutorials of
# PyTorch, Keras and TensorFlow, and AdaIN's code.
_THEIRS: Mapping[str, str] = MappingProxyType(
    {
        "steps": "iterations iters iter num_iterations num_iters n_iter n_iters niter num_iter "
        "max_iter max_iterations max_iters num_steps n_steps epochs",
        "size": "output_size image_size img_size imsize max_size max_dim image_dim img_dim width "
        "height resolution content_size long_side out_size",
        "content": "content_image content_img content_path content_file photo image input "
        "input_image base_image target_image",
        "style": "style_image style_images style_img style_path style_file painting "
        "style_reference_image reference_image styles",
        "output": "output_image output_path out output_file result result_prefix save_path outfile "
        "output_dir",
        "strength": "alpha interpolation style_strength",
        "blend": "style_blend_weights style_interpolation_weights interpolation_weights weights "
        "style_weights",
        "keep_color": "original_colors preserve_color preserve_colors keep_colors keep_colour "
        "color_control maintain_color",
        "learning_rate": "lr step_size",
        "style_weight": "beta style_loss_weight",
        "content_weight": "content_loss_weight",
        "tv_weight": "tv tvl_weight variation_weight total_variation_weight tv_strength smoothness "
        "smooth_weight",
        "style_scale": "style_size stroke_size scale",
        "device": "gpu cuda use_gpu backend",
        "network": "model model_file model_path checkpoint ckpt decoder",
        "encoder": "vgg vgg_path net proto_file feature_extractor",
        "save_every": "save_iter checkpoint_iterations print_iter log_interval save_interval",
        "init": "initialization init_image init_method initial start",
        "seed": "random_seed",
        "pooling": "pool pooling_type",
        "optimizer": "optim optimiser",
        "style_layers": "style_layer",
        "content_layers": "content_layer",
    }
)
_OURS = {each: ours for ours, theirs in _THEIRS.items() for each in theirs.split()}


def brought(name: str, known: Collection[str]) -> str | None:
    """Which of the `known` names was meant by one that is none of them; None where nobody can tell."""
    name = name.strip("-").replace("-", "_").lower()
    if name in known:
        return name
    if _OURS.get(name) in known:
        return _OURS[name]
    return next(iter(get_close_matches(name, known, 1, 0.7)), None)
