# SPDX-License-Identifier: Apache-2.0
"""What things are made of: a texture and how light falls on it; and the wardrobe from which one scene's things choose.

In: draws. Out: `Surface`. Parts of a thing often have the same texture, or nearly, so that colour alone does not part
them.
"""

import dataclasses

from data.synthetic.colors import Palette, draw_palette
from data.synthetic.dice import Dice
from data.synthetic.textures import Texture, draw_texture, moved, recolored, scaled


@dataclasses.dataclass(frozen=True)
class Surface:
    """Attributes:
    texture: in units of the body.
    relief: how much the rim turns away from the light, 0 (flat) to 1 (a ball).
    slope: how much lighter one side is than the other, 0 to 1.
    edge: darkness of the outermost line; below 0 it is lighter than the rest.
    """

    texture: Texture
    relief: float = 0.0
    slope: float = 0.0
    edge: float = 0.0


@dataclasses.dataclass(frozen=True)
class Wardrobe:
    """What one thing may be made of.

    Attributes:
        palette: of its colours.
        ground: the texture that lies behind it, in units of the body, for a thing that hardly differs from it; or None.
    """

    palette: Palette
    ground: Texture | None = None

    def main(self, dice: Dice) -> Surface:
        if self.ground is not None:
            texture = recolored(dice, self.ground, dice.log_uniform(3, 14))
        else:
            texture = draw_texture(dice, self.palette)
        return lit(dice, texture)

    def part(self, dice: Dice, main: Surface) -> Surface:
        """Of a part of a thing: the same that goes on, another place, another shade, or something else."""
        kind = dice.choice(("same", "moved", "shade", "other"), (3, 1, 3, 4))
        if kind == "same":
            return main
        if kind == "moved":
            return dataclasses.replace(main, texture=moved(dice, main.texture))
        if kind == "shade":
            return lit(dice, recolored(dice, main.texture, dice.log_uniform(4, 30)))
        return lit(dice, draw_texture(dice, self.palette))


def lit(dice: Dice, texture: Texture) -> Surface:
    relief = dice.choice((0.0, dice.uniform(0.2, 1)), (1, 2))
    edge = dice.choice((0.0, dice.uniform(0.1, 0.6), dice.uniform(-0.3, 0)), (4, 2, 1))
    return Surface(texture, relief, dice.uniform(0, 0.5), edge)


def draw_wardrobe(dice: Dice, around: Palette, ground: Texture, radius: float) -> Wardrobe:
    """Of a thing of `radius`, in the units of `ground`, the texture behind it; `around` is the palette of the place."""
    palette = around if dice.chance(0.4) else draw_palette(dice)
    return Wardrobe(palette, scaled(ground, 1 / radius) if dice.chance(0.2) else None)
