"""What every `auto` comes to: from the images, the machine and the budget to the settings a stage runs with."""
