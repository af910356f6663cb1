"""What a sentence asks for in a scene: words (`vocabulary`), what they refer to (`references`), and which of
the scene's goals is meant (`meaning`)."""
