"""Every word of the small language, in the order of ids: a word once shipped keeps its place, and
a new one comes last."""

from typing import Final

_WORDS: Final = """
user assistant system a an and what is it now do you see this in front of there right are
looking at can the camera have seen did was appear ever came after next before just first thing
saw object last where picture colour background with color behind which how many different
things objects were It I nothing Yes No not The red one two on left top bottom middle What Have
Did Was Where Which How clock banana dog cat car tree book key cup ball shoe hat guitar phone
bulb rocket bicycle bus boat sunflower cactus lemon strawberry pineapple pear tomato carrot
pizza burger donut cookie cake mushroom fish penguin frog pig panda rabbit bee butterfly turtle
snail hammer pencil bell drum trumpet backpack balloon gift crown ring candle laptop television
radio chair broom basket robot snowman star orange yellow green blue purple black white no three
four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen will come
comes happen happens coming be later that yet Will does say read written word number way move
direction happened has still beside long ago when says moved up down A appeared Nothing gone
beginning end photo about seconds thirty minute minutes half hour In Is Can Do When lion tiger
bear monkey horse cow chicken duck fox mouse koala sheep giraffe zebra whale dolphin shark snake
crab spider parrot swan flamingo ladybug rose leaf cherry coconut corn cheese pretzel taco
lollipop plane train truck tractor helicopter tent house castle door bathtub spoon knife magnet
microscope violin saxophone kite trophy globe moon rainbow snowflake volcano ghost pumpkin tie
shirt lock microphone ship skateboard stop go open exit sale taxi hotel bank cafe menu push pull
free hot cold slow fast help news live food park play home 0 1 2 3 4 5 6 7 8 9
"""
VOCABULARY: Final = tuple(_WORDS.split())
