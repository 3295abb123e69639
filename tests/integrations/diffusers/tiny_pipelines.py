"""Real pipelines of diffusers, every component of its real class, at tiny random size.

`build(name)` is reproducible: the same weights in every process. A pipeline generates in 10 to
100 ms on one CPU core, from prompt strings and from lists of them, and its frames use the middle
of the range, so that few pixels saturate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKL,
    AutoencoderKLCogVideoX,
    AutoencoderKLHunyuanVideo,
    AutoencoderKLHunyuanVideo15,
    AutoencoderKLLTXVideo,
    AutoencoderKLMochi,
    AutoencoderKLTemporalDecoder,
    AutoencoderKLWan,
    ClassifierFreeGuidance,
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    CogVideoXPipeline,
    CogVideoXTransformer3DModel,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    HunyuanVideo15Pipeline,
    HunyuanVideo15Transformer3DModel,
    HunyuanVideoPipeline,
    HunyuanVideoTransformer3DModel,
    LTXPipeline,
    LTXVideoTransformer3DModel,
    MochiPipeline,
    MochiTransformer3DModel,
    MotionAdapter,
    StableVideoDiffusionPipeline,
    TextToVideoSDPipeline,
    UNet2DConditionModel,
    UNet3DConditionModel,
    UNetSpatioTemporalConditionModel,
    UniPCMultistepScheduler,
    WanImageToVideoPipeline,
    WanPipeline,
    WanTransformer3DModel,
)
from diffusers.models.transformers.transformer_hunyuan_video15 import (
    HunyuanVideo15ByT5TextProjection,
)
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import (
    CLIPImageProcessorPil,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
    LlamaConfig,
    LlamaModel,
    PreTrainedTokenizerFast,
    Qwen2_5_VLTextConfig,
    Qwen2_5_VLTextModel,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

WIDTH_OF_TEXT = 16
PROMPT_TOKENS = 12
STEPS = 4


@dataclass(frozen=True)
class Tiny:
    """A pipeline and what to call it with: `pipe(prompt="a cat", **kwargs)`.

    `kwargs` holds the sizes, the number of steps and the guidance; add `generator` and
    `output_type`. A pipeline without text (SVD) has `takes_prompt` False.
    """

    pipe: Any
    kwargs: dict[str, Any]
    takes_prompt: bool = True


def tokenizer() -> PreTrainedTokenizerFast:
    """Every byte is a token; the end of a text is token 257, the largest."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.add_special_tokens(["<pad>", "</s>"])
    made.post_processor = processors.TemplateProcessing("$A </s>", special_tokens=[("</s>", 257)])
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="<pad>",
        eos_token="</s>",
        model_max_length=PROMPT_TOKENS,
        model_input_names=["input_ids", "attention_mask"],
    )


def chat_tokenizer() -> PreTrainedTokenizerFast:
    made = tokenizer()
    made.chat_template = "{% for message in messages[1:] %}{{ message['content'] }}{% endfor %}"
    return made


def t5(of: type = T5EncoderModel, config: type = T5Config) -> nn.Module:
    return of(
        config(
            vocab_size=258,
            d_model=WIDTH_OF_TEXT,
            d_kv=8,
            d_ff=16,
            num_layers=1,
            num_heads=2,
            pad_token_id=256,
            eos_token_id=257,
        )
    )


def clip_text() -> CLIPTextModel:
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=258,
            hidden_size=WIDTH_OF_TEXT,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            max_position_embeddings=77,
            pad_token_id=256,
            bos_token_id=None,
            eos_token_id=257,
        )
    )


def causal_text(of: type, config: type, **more: Any) -> nn.Module:
    """The pipelines take the third hidden state from the end, so two layers at least."""
    return of(
        config(
            vocab_size=258,
            hidden_size=WIDTH_OF_TEXT,
            intermediate_size=16,
            num_hidden_layers=3,
            num_attention_heads=2,
            num_key_value_heads=2,
            max_position_embeddings=64,
            **more,
        )
    )


def wan_transformer(in_channels: int = 16) -> WanTransformer3DModel:
    return WanTransformer3DModel(
        patch_size=(1, 2, 2),
        num_attention_heads=2,
        attention_head_dim=12,
        in_channels=in_channels,
        out_channels=16,
        text_dim=WIDTH_OF_TEXT,
        freq_dim=16,
        ffn_dim=16,
        num_layers=2,
        rope_max_seq_len=32,
    )


def wan_vae() -> AutoencoderKLWan:
    return AutoencoderKLWan(base_dim=8, z_dim=16, dim_mult=[1, 1, 1, 1], num_res_blocks=1)


def wan_parts() -> dict[str, Any]:
    return {
        "tokenizer": tokenizer(),
        "text_encoder": t5(UMT5EncoderModel, UMT5Config),
        "vae": wan_vae(),
    }


SMALL_WAN = {
    "height": 32,
    "width": 48,
    "num_frames": 9,
    "guidance_scale": 3.0,
    "max_sequence_length": PROMPT_TOKENS,
}


def wan() -> Tiny:
    pipe = WanPipeline(
        **wan_parts(),
        transformer=wan_transformer(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )
    return Tiny(pipe, dict(SMALL_WAN))


def wan_unipc() -> Tiny:
    made = wan()
    made.pipe.scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0
    )
    return made


def wan_22() -> Tiny:
    """Two experts: one for the noisier half of the levels, one for the other."""
    pipe = WanPipeline(
        **wan_parts(),
        transformer=wan_transformer(),
        transformer_2=wan_transformer(),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        boundary_ratio=0.5,
    )
    return Tiny(pipe, dict(SMALL_WAN))


def wan_i2v() -> Tiny:
    """Conditioned on the latents of the image alone, as in Wan 2.2."""
    pipe = WanImageToVideoPipeline(
        **wan_parts(),
        transformer=wan_transformer(in_channels=36),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )
    return Tiny(pipe, SMALL_WAN | {"image": picture(48, 32)})


def cogvideox(patch_size_t: int | None = None) -> Tiny:
    pipe = CogVideoXPipeline(
        tokenizer=tokenizer(),
        text_encoder=t5(),
        vae=AutoencoderKLCogVideoX(
            down_block_types=("CogVideoXDownBlock3D",) * 4,
            up_block_types=("CogVideoXUpBlock3D",) * 4,
            block_out_channels=(8, 8, 8, 8),
            latent_channels=4,
            layers_per_block=1,
            norm_num_groups=2,
        ),
        transformer=CogVideoXTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=16,
            in_channels=4,
            out_channels=4,
            time_embed_dim=4,
            text_embed_dim=WIDTH_OF_TEXT,
            num_layers=1,
            sample_height=4,
            sample_width=6,
            sample_frames=9,
            patch_size=2,
            patch_size_t=patch_size_t,
            max_text_seq_length=PROMPT_TOKENS,
            use_rotary_positional_embeddings=True,
        ),
        scheduler=CogVideoXDDIMScheduler(
            prediction_type="v_prediction", rescale_betas_zero_snr=True, timestep_spacing="trailing"
        ),
    )
    kwargs = {
        "height": 32,
        "width": 48,
        "num_frames": 9,
        "guidance_scale": 3.0,
        "max_sequence_length": PROMPT_TOKENS,
    }
    return Tiny(pipe, kwargs)


def cogvideox_dpm() -> Tiny:
    made = cogvideox()
    made.pipe.scheduler = CogVideoXDPMScheduler.from_config(made.pipe.scheduler.config)
    return made


def cogvideox_15() -> Tiny:
    """CogVideoX 1.5: three latent frames, padded by a fourth in front."""
    return cogvideox(patch_size_t=2)


def ltx_vae(timestep_conditioning: bool = False) -> AutoencoderKLLTXVideo:
    return AutoencoderKLLTXVideo(
        latent_channels=8,
        block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        layers_per_block=(1, 1, 1, 1, 1),
        decoder_layers_per_block=(1, 1, 1, 1, 1),
        spatio_temporal_scaling=(True, True, False, False),
        decoder_spatio_temporal_scaling=(True, True, False, False),
        decoder_inject_noise=(False,) * 5,
        upsample_residual=(False,) * 4,
        upsample_factor=(1,) * 4,
        timestep_conditioning=timestep_conditioning,
        patch_size=2,
        patch_size_t=1,
        encoder_causal=True,
        decoder_causal=False,
    )


def ltx(timestep_conditioning: bool = False) -> Tiny:
    pipe = LTXPipeline(
        tokenizer=tokenizer(),
        text_encoder=t5(),
        vae=ltx_vae(timestep_conditioning),
        transformer=LTXVideoTransformer3DModel(
            in_channels=8,
            out_channels=8,
            num_attention_heads=2,
            attention_head_dim=12,
            cross_attention_dim=24,
            num_layers=1,
            caption_channels=WIDTH_OF_TEXT,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
    )
    kwargs = {
        "height": 32,
        "width": 64,
        "num_frames": 9,
        "guidance_scale": 3.0,
        "max_sequence_length": PROMPT_TOKENS,
    }
    return Tiny(pipe, kwargs)


def ltx_timestep() -> Tiny:
    """LTX 0.9.1: noise is added before decoding, and the VAE is told how much."""
    made = ltx(timestep_conditioning=True)
    made.kwargs.update(decode_timestep=0.05, decode_noise_scale=0.025)
    return made


def hunyuan_video() -> Tiny:
    pipe = HunyuanVideoPipeline(
        tokenizer=tokenizer(),
        text_encoder=causal_text(LlamaModel, LlamaConfig),
        tokenizer_2=tokenizer(),
        text_encoder_2=clip_text(),
        vae=AutoencoderKLHunyuanVideo(
            latent_channels=4,
            block_out_channels=(8, 8, 8, 8),
            layers_per_block=1,
            norm_num_groups=1,  # groups of two channels would take away what latents mean
        ),
        transformer=HunyuanVideoTransformer3DModel(
            in_channels=4,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=10,
            num_layers=1,
            num_single_layers=1,
            num_refiner_layers=1,
            patch_size=1,
            text_embed_dim=WIDTH_OF_TEXT,
            pooled_projection_dim=WIDTH_OF_TEXT,
            rope_axes_dim=(2, 4, 4),
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
    )
    # Each causal convolution delays a random video: the first latent would fill all the frames.
    for layer in pipe.vae.decoder.modules():
        if isinstance(layer, nn.Conv3d) and layer.kernel_size[0] == 3:
            layer.weight.data[:, :, :2] *= 0.2
    kwargs = {
        "height": 32,
        "width": 48,
        "num_frames": 9,
        "guidance_scale": 6.0,
        # The published template is longer than the prompts and cropped by position.
        "prompt_template": {"template": "{}", "crop_start": 0},
        "max_sequence_length": PROMPT_TOKENS,
    }
    return Tiny(pipe, kwargs)


def hunyuan_video_15() -> Tiny:
    pipe = HunyuanVideo15Pipeline(
        tokenizer=chat_tokenizer(),
        text_encoder=causal_text(
            Qwen2_5_VLTextModel,
            Qwen2_5_VLTextConfig,
            bos_token_id=None,
            eos_token_id=257,
            rope_scaling={"rope_type": "default", "mrope_section": [1, 1, 2]},
        ),
        tokenizer_2=tokenizer(),
        text_encoder_2=t5(),
        vae=AutoencoderKLHunyuanVideo15(
            latent_channels=4,
            block_out_channels=(8, 8, 8, 8),
            layers_per_block=1,
            spatial_compression_ratio=8,
            temporal_compression_ratio=4,
        ),
        transformer=HunyuanVideo15Transformer3DModel(
            in_channels=9,
            out_channels=4,
            num_attention_heads=2,
            attention_head_dim=10,
            num_layers=1,
            num_refiner_layers=1,
            text_embed_dim=WIDTH_OF_TEXT,
            text_embed_2_dim=WIDTH_OF_TEXT,
            image_embed_dim=8,
            rope_axes_dim=(2, 4, 4),
            target_size=16,
            task_type="t2v",
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=7.0),
        guider=ClassifierFreeGuidance(guidance_scale=3.0),
    )
    # Its inner width is the published one, 2048, whatever the others.
    pipe.transformer.context_embedder_2 = HunyuanVideo15ByT5TextProjection(WIDTH_OF_TEXT, 16, 20)
    # The attention mask of this VAE holds for one video only.
    pipe.vae.enable_slicing()
    pipe.tokenizer_max_length = PROMPT_TOKENS
    pipe.tokenizer_2_max_length = PROMPT_TOKENS
    pipe.prompt_template_encode_start_idx = 0
    pipe.vision_num_semantic_tokens = 2
    return Tiny(pipe, {"height": 32, "width": 48, "num_frames": 9})


def mochi() -> Tiny:
    pipe = MochiPipeline(
        tokenizer=tokenizer(),
        text_encoder=t5(),
        vae=AutoencoderKLMochi(
            encoder_block_out_channels=(32, 32, 32, 32),
            decoder_block_out_channels=(32, 32, 32, 32),
            layers_per_block=(1, 1, 1, 1, 1),
        ),
        transformer=MochiTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=8,
            num_layers=2,
            pooled_projection_dim=16,
            text_embed_dim=WIDTH_OF_TEXT,
            time_embed_dim=4,
            max_sequence_length=PROMPT_TOKENS,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(invert_sigmas=True, shift=1.0),
    )
    kwargs = {
        "height": 16,
        "width": 32,
        "num_frames": 13,
        "guidance_scale": 3.0,
        "max_sequence_length": PROMPT_TOKENS,
    }
    return Tiny(pipe, kwargs)


def stable_diffusion_vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        latent_channels=4,
        norm_num_groups=2,
    )


def animatediff() -> Tiny:
    pipe = AnimateDiffPipeline(
        tokenizer=tokenizer(),
        text_encoder=clip_text(),
        vae=stable_diffusion_vae(),
        unet=UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(8, 8),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=WIDTH_OF_TEXT,
            attention_head_dim=1,  # the number of heads
            norm_num_groups=2,
        ),
        motion_adapter=MotionAdapter(
            block_out_channels=(8, 8),
            motion_layers_per_block=1,
            motion_norm_num_groups=2,
            motion_num_attention_heads=1,
        ),
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="linear", clip_sample=False
        ),
    )
    return Tiny(pipe, {"height": 16, "width": 24, "num_frames": 6, "guidance_scale": 3.0})


def animatediff_euler() -> Tiny:
    made = animatediff()
    made.pipe.scheduler = EulerDiscreteScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="linear"
    )
    return made


def text_to_video_sd() -> Tiny:
    pipe = TextToVideoSDPipeline(
        tokenizer=tokenizer(),
        text_encoder=clip_text(),
        vae=stable_diffusion_vae(),
        unet=UNet3DConditionModel(
            sample_size=8,
            block_out_channels=(8, 8),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
            up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
            cross_attention_dim=WIDTH_OF_TEXT,
            attention_head_dim=4,
            norm_num_groups=2,
        ),
        scheduler=DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", clip_sample=False
        ),
    )
    return Tiny(pipe, {"height": 16, "width": 24, "num_frames": 6, "guidance_scale": 3.0})


def svd() -> Tiny:
    pipe = StableVideoDiffusionPipeline(
        vae=AutoencoderKLTemporalDecoder(
            block_out_channels=(32, 32),
            down_block_types=("DownEncoderBlock2D",) * 2,
            latent_channels=4,
        ),
        image_encoder=CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=16,
                intermediate_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                image_size=224,  # to which the pipeline resizes
                patch_size=112,
                projection_dim=16,
            )
        ),
        unet=UNetSpatioTemporalConditionModel(
            sample_size=8,
            block_out_channels=(32, 32),
            layers_per_block=1,
            num_attention_heads=2,
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"),
            cross_attention_dim=16,
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=24,
            num_frames=4,
        ),
        scheduler=EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            prediction_type="v_prediction",
            timestep_spacing="leading",
            timestep_type="continuous",
            use_karras_sigmas=True,
            sigma_min=0.002,
            sigma_max=700.0,
        ),
        feature_extractor=CLIPImageProcessorPil(),
    )
    kwargs = {"image": picture(24, 16), "height": 16, "width": 24, "num_frames": 4}
    return Tiny(pipe, kwargs, takes_prompt=False)


def picture(width: int, height: int) -> Image.Image:
    pixels = torch.rand(height, width, 3, generator=torch.Generator().manual_seed(5))
    return Image.fromarray((255 * pixels).byte().numpy())


BUILDERS: dict[str, Callable[[], Tiny]] = {
    "wan": wan,
    "wan_unipc": wan_unipc,
    "wan_22": wan_22,
    "wan_i2v": wan_i2v,
    "cogvideox": cogvideox,
    "cogvideox_dpm": cogvideox_dpm,
    "cogvideox_15": cogvideox_15,
    "ltx": ltx,
    "ltx_timestep": ltx_timestep,
    "hunyuan_video": hunyuan_video,
    "hunyuan_video_15": hunyuan_video_15,
    "mochi": mochi,
    "animatediff": animatediff,
    "animatediff_euler": animatediff_euler,
    "text_to_video_sd": text_to_video_sd,
    "svd": svd,
}


def build(name: str) -> Tiny:
    """The pipeline `name` of BUILDERS in float32 on the CPU, in eval mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        made = BUILDERS[name]()
        made.kwargs["num_inference_steps"] = STEPS
        for component in made.pipe.components.values():
            if isinstance(component, nn.Module):
                component.eval()
        made.pipe.set_progress_bar_config(disable=True)
        spread_pixels(made)
    return made


@torch.no_grad()
def spread_pixels(made: Tiny, deviation: float = 0.35) -> None:
    """Rescales the last layer of the VAE so that decoded pixels, in [-1, 1], have mean 0.

    Biases would drown the latents: they are zero but in the last layer.
    """
    decoder = made.pipe.vae.decoder
    for name, parameter in decoder.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
    last = getattr(decoder, "time_conv_out", None) or getattr(decoder, "conv_out", None)
    last = last or decoder.proj_out
    seen: list[torch.Tensor] = []

    def see(module: nn.Module, args: Any, output: Any) -> None:
        seen.append((output[0] if isinstance(output, tuple) else output).flatten())

    hook = last.register_forward_hook(see)
    prompt = {"prompt": "a"} if made.takes_prompt else {}
    made.pipe(**prompt, generator=torch.Generator().manual_seed(0), output_type="pt", **made.kwargs)
    hook.remove()
    values = torch.cat(seen)
    scale, mean = deviation / values.std(), values.mean()
    (weight,) = (p for name, p in last.named_parameters() if name.endswith("weight"))
    (bias,) = (p for name, p in last.named_parameters() if name.endswith("bias"))
    weight.mul_(scale)
    bias.sub_(mean).mul_(scale)
