"""What commands with gangs say of their flags."""

GANG_GUIDANCE_HELP = "One half of a gang for the evaluation with the prompt, the other for that without"
SPREAD_WEIGHTS_HELP = "Each GPU of a gang holds a part of the network, for networks that don't fit one"
