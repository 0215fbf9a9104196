"""The registry: from tables of many people to prediction models, with how well they do."""
