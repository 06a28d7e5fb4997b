"""Random networks of the real classes, small enough for a test, saved as folders that `load` takes."""

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import (
    BertConfig,
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    Dinov2Config,
    DPTImageProcessor,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    GroundingDinoImageProcessor,
    GroundingDinoProcessor,
    PreTrainedTokenizerFast,
    Sam2HieraDetConfig,
    Sam2VideoConfig,
    Sam2VideoMaskDecoderConfig,
    Sam2VideoModel,
    Sam2VideoPromptEncoderConfig,
    Sam2VisionConfig,
    SwinConfig,
)

from airshower.configs.annotators import DEPTH, DETECTOR, TRACKER

WORDS = ("car", "tree", "red")
CLS, SEP, FULL_STOP = 101, 102, 1012  # BERT's ids, which Grounding DINO knows by heart


def save_annotators(folder):
    """All of them, as `--annotators` takes them."""
    save_depth_network(folder / DEPTH)
    save_detector(folder / DETECTOR)
    save_tracker(folder / TRACKER)


def save_depth_network(folder, depth_estimation_type="relative"):
    """Four layers of width 32 on patches of 14; frames of 48x64 become 42x56."""
    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=56,
        out_indices=[1, 2, 3, 4],
        reshape_hidden_states=False,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=32,
        neck_hidden_sizes=[8, 8, 16, 16],
        fusion_hidden_size=8,
        head_hidden_size=8,
        depth_estimation_type=depth_estimation_type,
        max_depth=1,
        initializer_range=0.5,  # so large that frames of other content get other depths
    )
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    size = {"height": 42, "width": 42}
    DPTImageProcessor(size=size, keep_aspect_ratio=True, ensure_multiple_of=14).save_pretrained(folder)


def save_detector(folder):
    """One or two layers each, 20 queries, a vocabulary of three words at BERT's ids."""
    torch.manual_seed(0)
    config = GroundingDinoConfig(
        backbone_config=SwinConfig(
            image_size=64, patch_size=4, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], out_indices=[2, 3, 4]
        ),
        text_config=BertConfig(
            vocab_size=1100,
            hidden_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=32,
        ),
        d_model=64,  # two values for each of the 32 groups of its normalisation
        encoder_layers=1,
        decoder_layers=2,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        num_queries=20,
        max_text_len=24,
    )
    GroundingDinoForObjectDetection(config).save_pretrained(folder)
    images = GroundingDinoImageProcessor(size={"shortest_edge": 64, "longest_edge": 96})
    GroundingDinoProcessor(images, word_tokenizer()).save_pretrained(folder)


def word_tokenizer():
    vocabulary = {"[PAD]": 0, "[UNK]": 100, "[CLS]": CLS, "[SEP]": SEP, ".": FULL_STOP}
    vocabulary |= {word: 200 + number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    )


def save_tracker(folder):
    """64x64 pixels; looks back on 3 frames and 4 pointers, so that a clip of ten frames outruns its memory.

    transformers writes 64 channels of memory, and more of the network, into the code, whatever the configuration says.
    """
    torch.manual_seed(0)
    vision = Sam2VisionConfig(
        backbone_config=Sam2HieraDetConfig(
            image_size=[64, 64],
            hidden_size=8,
            blocks_per_stage=[1, 1, 2, 1],
            embed_dim_per_stage=[8, 16, 32, 64],
            num_attention_heads_per_stage=[1, 1, 1, 1],
            window_size_per_stage=[8, 4, 8, 4],
            global_attention_blocks=[3],
        ),
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=128,
    )
    config = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(
            hidden_size=128, image_size=64, patch_size=16, mask_input_channels=8
        ),
        mask_decoder_config=Sam2VideoMaskDecoderConfig(
            hidden_size=128, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=32
        ),
        image_size=64,
        num_maskmem=3,
        max_object_pointers_in_encoder=4,
        memory_attention_hidden_size=128,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32,
        memory_attention_rope_feat_sizes=[4, 4],
        memory_encoder_hidden_size=128,
        memory_encoder_output_channels=64,
        mask_downsampler_embed_dim=128,
        memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=32,
        initializer_range=0.3,
    )
    model = Sam2VideoModel(config)
    torch.nn.init.constant_(model.mask_decoder.pred_obj_score_head.proj_out.bias, 100.0)  # every object is in sight
    model.save_pretrained(folder)
