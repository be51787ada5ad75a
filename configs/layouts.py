"""How each size of the ladder is laid out on Cloud TPU slices.

Chosen so that every size fits 16 GiB a chip at 256 sequences of 2048 (the table: experiments/preflight.md). Up to 347M
each chip has a copy of the params; microbatches bound the logits (50,432 of 4 bytes a token) and what the backward pass
reads. Larger sizes split params and moments over the slice, which costs a gathering of the weights per microbatch: they
keep the weight products alone and take fewer parts.
"""

from t2jax.mesh import Layout

# For v5e:4x4. A slice of more chips takes the same, with as many microbatches as there are sequences for a chip.
V5E_16 = {
    **{size: Layout(microbatches=2, steps_per_dispatch=16) for size in ('5M', '7M', '9M', '15M')},
    **{size: Layout(microbatches=2, steps_per_dispatch=8) for size in ('22M', '28M', '37M')},
    **{size: Layout(microbatches=4, steps_per_dispatch=4) for size in ('57M', '84M', '108M')},
    **{size: Layout(microbatches=8) for size in ('140M-gqa', '149M', '220M')},
    '347M': Layout(microbatches=16),
    **{size: Layout(fsdp=16, microbatches=4, remat='dots') for size in ('455M', '611M', '901M')},
}
