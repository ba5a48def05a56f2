"""One sound file of each annotation format, about the picture a.png: one pore at x 1 to 9, y 2 to 8."""

from __future__ import annotations

import json

SIDES = {"x": 1, "y": 2, "width": 8, "height": 6}
RING = [[1, 2], [9, 2], [9, 8], [1, 8], [1, 2]]
VOC = (
    "<annotation><filename>{}</filename><object><name>pore</name><bndbox>"
    "<xmin>1</xmin><ymin>2</ymin><xmax>9</xmax><ymax>8</ymax></bndbox></object></annotation>"
)
CVAT = (
    '<annotations><image id="0" name="a.png" width="60" height="40">'
    '<box label="pore" xtl="1" ytl="2" xbr="9" ybr="8"/></image></annotations>'
)
CSV = "class,x0_px,y0_px,x1_px,y1_px\npore,1,2,9,8\n"
LABELME = json.dumps(
    {"shapes": [{"label": "pore", "points": [[1, 2], [9, 8]], "shape_type": "rectangle"}], "imagePath": "a.png"}
)
COCO = json.dumps(
    {
        "images": [{"id": 1, "file_name": "a.png"}],
        "categories": [{"id": 1, "name": "pore"}],
        "annotations": [{"image_id": 1, "category_id": 1, "bbox": [1, 2, 8, 6]}],
    }
)
FEATURE = {"geometry": {"type": "Polygon", "coordinates": [RING]}, "properties": {"classification": {"name": "pore"}}}
GEOJSON = json.dumps({"type": "FeatureCollection", "features": [{"type": "Feature", **FEATURE}]})
REGION = {"shape_attributes": {"name": "rect", **SIDES}, "region_attributes": {"label": "pore"}}
VIA = json.dumps({"a": {"filename": "a.png", "regions": [REGION]}})
RESULT = {"type": "rectanglelabels", "original_width": 100, "original_height": 100}
STUDIO = json.dumps(
    [
        {
            "data": {"image": "a.png"},
            "annotations": [{"result": [{**RESULT, "value": {**SIDES, "rectanglelabels": ["pore"]}}]}],
        }
    ]
)
