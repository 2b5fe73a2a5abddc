"""Speed of whole models, in one run on one machine: ours as it is deployed, ours in eager torch, published ones."""
